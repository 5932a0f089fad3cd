import type { ReactNode } from 'react';
import type { Loaded } from '../hooks/use-loaded.ts';
import { Fault } from './fault.tsx';

interface AwaitedProps<T> {
  of: Loaded<T>;
  children: (value: T) => ReactNode;
}

/** What is asked for: a word while it comes, and what went wrong. */
export function Awaited<T>({ of: { value, error }, children }: AwaitedProps<T>) {
  return (
    <>
      <Fault error={error} />
      {value === undefined && error === undefined ? (
        <p className="note" role="status">
          Loading…
        </p>
      ) : null}
      {value === undefined ? null : children(value)}
    </>
  );
}
