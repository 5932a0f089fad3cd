import { useEffect, useRef, useState } from 'react';
import { ActionIcon, Text, Title } from '@mantine/core';
import type { Replica, StoredRecord } from '../../../sdk/index.ts';
import { formatDate, formatMoney, formatNumber } from '../format.ts';
import { textOf } from '../model/records.ts';
import { Icon } from './icon.tsx';
import { KindBadge } from './invoice-table.tsx';

interface InvoiceDialogProps {
  id: string;
  replica: Replica;
  onClose: () => void;
}

/** An invoice with its lines, read whole from the local copy. */
export function InvoiceDialog({ id, replica, onClose }: InvoiceDialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  const [record, setRecord] = useState<StoredRecord | 'missing'>();
  useEffect(() => ref.current?.showModal(), []);
  useEffect(() => {
    replica
      .get('fatura', id)
      .then((found) => setRecord(found ?? 'missing'))
      .catch(() => setRecord('missing'));
  }, [replica, id]);
  return (
    <dialog
      ref={ref}
      className="dialog"
      onClose={onClose}
      onClick={(event) => (event.target === ref.current ? ref.current.close() : undefined)}
      aria-label="Invoice"
    >
      <div className="dialog-body">
        <ActionIcon
          variant="subtle"
          color="gray"
          className="dialog-close"
          aria-label="Close"
          onClick={() => ref.current?.close()}
        >
          <Icon name="close" />
        </ActionIcon>
        {record === 'missing' ? <Text>This invoice is no longer in the local copy.</Text> : null}
        {record !== undefined && record !== 'missing' ? <Invoice record={record} /> : null}
      </div>
    </dialog>
  );
}

function Invoice({ record }: { record: StoredRecord }) {
  const { data, partition } = record;
  const lines = Array.isArray(data['lines']) ? data['lines'].map(toLine) : [];
  const customer = textOf(data['customer']);
  return (
    <>
      <Title order={2} size="h4">
        Invoice {textOf(data['number'])} <KindBadge credit={data['kind'] === 'credit'} />
      </Title>
      <Text size="sm" c="dimmed">
        {[partition, formatDate(textOf(data['date'])), customer && `customer ${customer}`]
          .filter(Boolean)
          .join(' · ')}
      </Text>
      <div className="lines" tabIndex={0} role="region" aria-label="Lines">
        <table>
          <thead>
            <tr>
              <th scope="col">Product</th>
              <th scope="col" className="end">
                Quantity
              </th>
              <th scope="col" className="end">
                Unit price
              </th>
            </tr>
          </thead>
          <tbody>
            {lines.map((line, index) => (
              <tr key={index}>
                <td>
                  {line.sku} <span className="sub">{line.description}</span>
                </td>
                <td className="end">{line.quantity}</td>
                <td className="end">{line.unitPrice}</td>
              </tr>
            ))}
          </tbody>
          <tfoot>
            <tr>
              <th scope="row">Total</th>
              <td />
              <td className="end strong">{formatMoney(textOf(data['total']))}</td>
            </tr>
          </tfoot>
        </table>
      </div>
    </>
  );
}

function toLine(line: unknown): { sku: string; description: string; quantity: string; unitPrice: string } {
  const fields: Record<string, unknown> = typeof line === 'object' && line !== null ? { ...line } : {};
  const { sku, description, quantity, unitPrice } = fields;
  return {
    sku: textOf(sku),
    description: textOf(description),
    quantity: typeof quantity === 'number' ? formatNumber(quantity) : '',
    unitPrice: formatMoney(textOf(unitPrice)),
  };
}
