-- Null for watermarks of before: how their rows were read is not known, and taken to be as now.
alter table meta.marca add column lectura text[];
comment on column meta.marca.lectura is
    'Cómo se leía cada columna hasta la marca (nombre, nombre en el origen, tipo, formato, zona, constante, decimales). Si el contrato la lee de otro modo, la tabla incremental se lee entera una vez.';
comment on column meta.comparacion.claves_faltantes is
    'Claves del origen que raw no tenía, o tenía en otra versión (otro valor del cursor). Si hay alguna, la carga siguiente lee todo.';
