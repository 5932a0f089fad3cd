import type { ReactNode } from 'react';
import { useTitle } from '../hooks/use-title.ts';

interface PageHeadProps {
  title: string;
  /** The collection's own, Albanian name. */
  native?: string;
  children?: ReactNode;
}

export function PageHead({ title, native, children }: PageHeadProps) {
  useTitle(title);
  return (
    <div className="page-head">
      <h1>
        {title}
        {native === undefined ? null : (
          <span className="native" lang="sq" title={`${native} is Albanian for ${title.toLowerCase()}`}>
            {' '}
            {native}
          </span>
        )}
      </h1>
      {children}
    </div>
  );
}
