import { z } from 'zod';

/** Lists by page number, as the routes under /api/v1 have them. */
export const pageInput = z.object({
  page: z.coerce.number().int().min(1).max(1_000_000).default(1),
  limit: z.coerce.number().int().min(1).max(100).default(20),
});

export type Page = z.output<typeof pageInput>;

export function paginate({ page, limit }: Page, total: number): Page & { total: number; pages: number } {
  return { page, limit, total, pages: Math.ceil(total / limit) };
}
