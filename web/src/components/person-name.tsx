interface PersonNameProps {
  name: string;
  /** What a person wants to be called. Anybody may choose anything: the username stands beside it. */
  displayName: string | undefined;
}

export function PersonName({ name, displayName }: PersonNameProps) {
  if (displayName === undefined || displayName === name) return <span className="strong">{name}</span>;
  return (
    <span>
      <span className="strong">{displayName}</span> <span className="sub">{name}</span>
    </span>
  );
}
