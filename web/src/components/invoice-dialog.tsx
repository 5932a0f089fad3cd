import { useEffect, useState } from 'react';
import { Text, Title } from '@mantine/core';
import type { Replica, StoredRecord } from '../../../sdk/index.ts';
import { formatDate, formatMoney, formatNumber } from '../format.ts';
import { textOf } from '../model/records.ts';
import { Dialog } from './dialog.tsx';
import { KindBadge } from './invoice-table.tsx';

interface InvoiceDialogProps {
  id: string;
  replica: Replica;
  /** A product's name, for lines that have the code alone. */
  nameOf: (sku: string) => string;
  onClose: () => void;
}

/** An invoice with its lines, read whole from the local copy. */
export function InvoiceDialog({ id, replica, nameOf, onClose }: InvoiceDialogProps) {
  const [record, setRecord] = useState<StoredRecord | 'missing'>();
  useEffect(() => {
    replica
      .get('fatura', id)
      .then((found) => setRecord(found ?? 'missing'))
      .catch(() => setRecord('missing'));
  }, [replica, id]);
  return (
    <Dialog label="Invoice" onClose={onClose}>
      {record === 'missing' ? <Text>This invoice is no longer in the local copy.</Text> : null}
      {record !== undefined && record !== 'missing' ? <Invoice record={record} nameOf={nameOf} /> : null}
    </Dialog>
  );
}

function Invoice({ record, nameOf }: Pick<InvoiceDialogProps, 'nameOf'> & { record: StoredRecord }) {
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
                  <Product sku={line.sku} name={line.description || nameOf(line.sku)} />
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

function Product({ sku, name }: { sku: string; name: string }) {
  if (name === '') return sku;
  return (
    <>
      {name} <span className="sub">{sku}</span>
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
