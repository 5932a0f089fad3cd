import { Alert } from '@mantine/core';
import { explain, type Advice } from '../format.ts';

/** What went wrong, if anything did. */
export function Fault({ error, advice }: { error: unknown; advice?: Advice }) {
  if (error === undefined) return null;
  return (
    <Alert role="alert" color="red">
      {explain(error, advice)}
    </Alert>
  );
}
