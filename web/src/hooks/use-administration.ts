import { useMemo } from 'react';
import { createAdministration, type Administration } from '../model/administration.ts';
import { useAsk } from './use-step-up.tsx';

export function useAdministration(): Administration {
  const ask = useAsk();
  return useMemo(() => createAdministration(ask), [ask]);
}
