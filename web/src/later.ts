import { lazy } from 'react';
import type { ComponentType, LazyExoticComponent } from 'react';

const RETRY_MS = 2_000;

/**
 * A part of the page that is fetched when it is first shown. While the gateway is out of reach it is waited for: what is open
 * stays open. Once the gateway answers and still does not have it, another version is served, and only loading the page again helps.
 */
export function later<Props>(
  load: () => Promise<ComponentType<Props>>,
): LazyExoticComponent<ComponentType<Props>> {
  return lazy(async () => ({ default: await fetchPart(load) }));
}

async function fetchPart<Part>(load: () => Promise<Part>): Promise<Part> {
  for (let misses = 0; ;) {
    try {
      return await load();
    } catch (error) {
      if (await isReachable()) misses += 1;
      if (misses > 1) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

function isReachable(): Promise<boolean> {
  return fetch('/health/live', { cache: 'no-store' }).then(
    ({ ok }) => ok,
    () => false,
  );
}
