import { useCallback, useState } from 'react';
import { NativeSelect } from '@mantine/core';
import { Awaited } from '../../components/awaited.tsx';
import { Card } from '../../components/card.tsx';
import { LoginChart } from '../../components/login-chart.tsx';
import { formatDay, formatNumber, formatTime } from '../../format.ts';
import { useAdministration } from '../../hooks/use-administration.ts';
import { useLoaded } from '../../hooks/use-loaded.ts';
import type { LoginCounts } from '../../model/administration.ts';

type Bucket = 'hour' | 'day';

const SPANS = [
  { value: 'hour', label: 'The last 24 hours' },
  { value: 'day', label: 'The last 30 days' },
];

/** To those who may read the audit log: how often somebody tried to log in to the organisation. */
export function LoginsTab() {
  const [bucket, setBucket] = useState<Bucket>('hour');
  const administration = useAdministration();
  const load = useCallback(() => administration.logins(bucket), [administration, bucket]);
  const loaded = useLoaded(load);
  return (
    <Card title="Logins of the organisation">
      <NativeSelect
        label="Time"
        data={SPANS}
        value={bucket}
        onChange={(event) => setBucket(event.currentTarget.value as Bucket)}
      />
      <Awaited of={loaded}>{(counts) => <Counts counts={counts} bucket={bucket} />}</Awaited>
    </Card>
  );
}

function Counts({ counts, bucket }: { counts: LoginCounts; bucket: Bucket }) {
  const sum = (field: 'attempts' | 'failures' | 'tokens_issued'): string =>
    formatNumber(counts.reduce((total, one) => total + one[field], 0));
  const named = counts.map((one) => ({
    ...one,
    name: bucket === 'hour' ? formatTime(one.at) : formatDay(one.at),
  }));
  return (
    <>
      <dl className="facts">
        <div>
          <dt>Attempts</dt>
          <dd>{sum('attempts')}</dd>
        </div>
        <div>
          <dt>Refused</dt>
          <dd>{sum('failures')}</dd>
        </div>
        <div>
          <dt>Sessions opened</dt>
          <dd>{sum('tokens_issued')}</dd>
        </div>
      </dl>
      <LoginChart counts={named} />
      <details>
        <summary>The numbers</summary>
        <table className="plain-table">
          <thead>
            <tr>
              <th scope="col">{bucket === 'hour' ? 'From' : 'Day'}</th>
              <th scope="col">Attempts</th>
              <th scope="col">Refused</th>
              <th scope="col">Opened</th>
            </tr>
          </thead>
          <tbody>
            {named.toReversed().map((one) => (
              <tr key={one.at}>
                <th scope="row">{one.name}</th>
                <td>{formatNumber(one.attempts)}</td>
                <td>{formatNumber(one.failures)}</td>
                <td>{formatNumber(one.tokens_issued)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </>
  );
}
