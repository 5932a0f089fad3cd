import { TextInput } from '@mantine/core';

export const CODE_LENGTH = 6;

interface CodeInputProps {
  label?: string;
  description?: string;
  code: string;
  onChange: (code: string) => void;
  autoFocus?: boolean;
}

/** Six digits. Takes what is pasted out of a mail, with spaces or words around them. */
export function CodeInput({
  label = 'Six-digit code',
  description,
  code,
  onChange,
  autoFocus = true,
}: CodeInputProps) {
  return (
    <TextInput
      label={label}
      description={description}
      className="code-input"
      inputMode="numeric"
      autoComplete="one-time-code"
      autoFocus={autoFocus}
      required
      value={code}
      onChange={(event) => onChange(event.currentTarget.value.replace(/\D/g, '').slice(0, CODE_LENGTH))}
    />
  );
}
