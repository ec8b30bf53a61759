-- What was decided of this item when the operation was made; empty: nothing.
ALTER TABLE operation_items ADD COLUMN IF NOT EXISTS parameter VARBINARY(256) NOT NULL DEFAULT '';
