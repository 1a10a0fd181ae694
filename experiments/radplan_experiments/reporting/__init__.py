"""From records to what people read: statistics, tables, figures, the report."""
