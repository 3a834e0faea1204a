-- Loads of tables: key comparisons, checksums.
select 1;
