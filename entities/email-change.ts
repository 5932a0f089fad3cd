import { EntitySchema } from 'typeorm';

/** A person's wish for another address, until both addresses have confirmed it. */
export interface EmailChangeRow {
  tenant_id: number;
  user_id: string;
  new_email: string;
  new_email_key: string;
  created_at: Date;
}

const primaryKeyConstraintName = 'email_changes_pkey';

export const EmailChangeEntity = new EntitySchema<EmailChangeRow>({
  name: 'EmailChange',
  tableName: 'email_changes',
  columns: {
    tenant_id: { type: 'integer', primary: true, primaryKeyConstraintName },
    user_id: { type: 'uuid', primary: true, primaryKeyConstraintName },
    new_email: { type: 'text' },
    new_email_key: { type: 'text' },
    created_at: { type: 'timestamptz' },
  },
  foreignKeys: [
    {
      name: 'email_changes_user_fkey',
      target: 'User',
      columnNames: ['tenant_id', 'user_id'],
      referencedColumnNames: ['tenant_id', 'id'],
      onDelete: 'CASCADE',
    },
  ],
});
