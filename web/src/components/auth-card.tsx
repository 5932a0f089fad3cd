import type { ReactNode } from 'react';
import { Alert, Paper, Text, Title } from '@mantine/core';
import { explain } from '../format.ts';

interface AuthCardProps {
  title: string;
  notice?: string | undefined;
  error?: unknown;
  children: ReactNode;
  foot: ReactNode;
}

/** The frame of signing up, verifying and logging in. */
export function AuthCard({ title, notice, error, children, foot }: AuthCardProps) {
  return (
    <main className="auth">
      <Paper className="auth-card" withBorder>
        <Text className="brand">Sluice</Text>
        <Title order={1} size="h3">
          {title}
        </Title>
        {notice === undefined ? null : (
          <Alert role="status" color="teal">
            {notice}
          </Alert>
        )}
        {error === undefined ? null : (
          <Alert role="alert" color="red">
            {explain(error)}
          </Alert>
        )}
        {children}
        <div className="auth-foot">{foot}</div>
      </Paper>
    </main>
  );
}
