import { useState } from 'react';
import { TextInput } from '@mantine/core';
import type { Advice } from '../format.ts';
import { CodeInput, CODE_LENGTH } from './code-input.tsx';

/** Nobody sends these codes. */
export const FACTOR_ADVICE: Advice = {
  invalid_code: 'The code is wrong or was used already. Check it, or wait for the next one.',
  too_many_tries: 'Too many wrong codes. Wait a while, or begin again.',
  invalid_credentials: 'The passkey was not accepted. Try again, or use another way.',
};

interface FactorCodeProps {
  /** `totp`, `recovery` or both. */
  methods: readonly string[];
  code: string;
  onChange: (code: string) => void;
}

/** A code of an authenticator app, or one of those kept for the day the app is gone. */
export function FactorCode({ methods, code, onChange }: FactorCodeProps) {
  const [kept, setKept] = useState(!methods.includes('totp'));
  const both = methods.includes('totp') && methods.includes('recovery');
  return (
    <>
      {kept ? (
        <TextInput
          label="Recovery code"
          description="One of the ten that you kept. Each works once."
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          autoFocus
          required
          value={code}
          onChange={(event) => onChange(event.currentTarget.value)}
        />
      ) : (
        <CodeInput
          label="Code of your authenticator app"
          description="Six digits, new every half minute."
          code={code}
          onChange={onChange}
        />
      )}
      {both ? (
        <button
          type="button"
          className="link aside"
          onClick={() => {
            setKept(!kept);
            onChange('');
          }}
        >
          {kept ? 'Use a code of the app' : 'Use a recovery code'}
        </button>
      ) : null}
    </>
  );
}

export function isWhole(code: string): boolean {
  return code.replace(/[\s-]/g, '').length >= CODE_LENGTH;
}
