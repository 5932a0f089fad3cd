import type { ReactNode } from 'react';
import { Loader } from '@mantine/core';

export function Waiting({ words, children }: { words: string; children?: ReactNode }) {
  return (
    <div className="waiting" role="status">
      <Loader size="sm" aria-hidden="true" />
      <p>{words}</p>
      {children}
    </div>
  );
}
