import { PasswordInput } from '@mantine/core';

interface NewPasswordProps {
  label?: string;
  value: string;
  error?: string | undefined;
  onChange: (password: string) => void;
}

export function NewPassword({ label = 'Password', value, error, onChange }: NewPasswordProps) {
  return (
    <PasswordInput
      label={label}
      description="At least 8 characters; 15 or more are better. A sentence will do."
      autoComplete="new-password"
      minLength={8}
      maxLength={256}
      required
      value={value}
      error={error}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}

/** Tells a password manager whose password it is, where the page does not ask for the name. */
export function WhoseName({ username }: { username: string }) {
  return <input type="text" name="username" autoComplete="username" value={username} readOnly hidden />;
}
