-- A key to meta.carga was checked once for every row that a load sends to history or to quarantine:
-- 5 µs each at the commit, and memory for each until then. A load writes its own record, and the
-- number in these rows, in one transaction.
alter table raw._historial drop constraint if exists _historial_carga_id_fkey;
alter table quarantine.fila drop constraint if exists fila_carga_id_fkey;
