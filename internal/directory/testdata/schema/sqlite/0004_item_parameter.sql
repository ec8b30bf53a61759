-- What was decided of this item when the operation was made; empty: nothing.
ALTER TABLE operation_items ADD COLUMN parameter TEXT NOT NULL DEFAULT '';
