import type { ReactNode } from 'react';
import { Alert, Paper, Text, Title } from '@mantine/core';
import type { Advice } from '../format.ts';
import { useTitle } from '../hooks/use-title.ts';
import { Fault } from './fault.tsx';
import { OwedFarewell } from './owed-farewell.tsx';

interface AuthCardProps {
  title: string;
  notice?: string | undefined;
  error?: unknown;
  advice?: Advice;
  children: ReactNode;
  foot: ReactNode;
}

const NO_ADVICE: Advice = {};

/** The frame of signing up, verifying and logging in. */
export function AuthCard({ title, notice, error, advice = NO_ADVICE, children, foot }: AuthCardProps) {
  useTitle(title);
  return (
    <main className="auth">
      <Paper className="auth-card" withBorder>
        <Text className="brand">Sluice</Text>
        <Title order={1} size="h3">
          {title}
        </Title>
        <OwedFarewell />
        {notice === undefined ? null : (
          <Alert role="status" color="teal">
            {notice}
          </Alert>
        )}
        <Fault error={error} advice={advice} />
        {children}
        <div className="auth-foot">{foot}</div>
      </Paper>
    </main>
  );
}
