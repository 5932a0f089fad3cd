import { EntitySchema } from 'typeorm';

/** A chat room. `general` has no row: every tenant has it, and everybody with the scope `chat` is in it. */
export interface RoomRow {
  tenant_id: number;
  /** Also the partition of its messages. */
  name: string;
  title: string;
  /** Not listed, and not to be joined: its members are the only ones who know of it. */
  private: boolean;
  /** `kind:id`. */
  created_by: string;
  created_at: Date;
}

const primaryKeyConstraintName = 'rooms_pkey';

export const RoomEntity = new EntitySchema<RoomRow>({
  name: 'Room',
  tableName: 'rooms',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    name: { type: 'text', primary: true, primaryKeyConstraintName },
    title: { type: 'text' },
    private: { type: 'boolean', default: false },
    created_by: { type: 'text' },
    created_at: { type: 'timestamptz', default: () => 'now()' },
  },
});
