import type { ReactNode } from 'react';

interface CardProps {
  title: string;
  /** Beside the title: its state. */
  state?: ReactNode;
  children: ReactNode;
}

export function Card({ title, state, children }: CardProps) {
  return (
    <section className="card form-card" aria-label={title}>
      <div className="card-head">
        <h2 className="card-title">{title}</h2>
        {state}
      </div>
      {children}
    </section>
  );
}
