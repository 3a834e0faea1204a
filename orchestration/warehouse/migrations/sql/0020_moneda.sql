-- Tables of raw and the history of projects are made by runs: they may be there or not.
do $$
declare
    renamed record;
begin
    for renamed in
        select esquema, tabla, antes, despues
        from (values
            ('raw', 'mlc__proyectos', 'presupuesto_ars', 'presupuesto'),
            ('raw', 'aguas__facturacion', 'importe_ars', 'importe'),
            ('raw', 'aguas__energia_bombeo', 'importe_ars', 'importe'),
            ('intermediate', 'historia_proyectos', 'presupuesto_ars', 'presupuesto'),
            ('entrega', 'luji_facturas', 'importe_ars', 'importe'),
            ('entrega', 'luji_alertas', 'pesos_estimados', 'importe_estimado')
        ) as nombres (esquema, tabla, antes, despues)
        join information_schema.columns on (table_schema, table_name, column_name) = (esquema, tabla, antes)
    loop
        execute format('alter table %I.%I rename column %I to %I',
            renamed.esquema, renamed.tabla, renamed.antes, renamed.despues);
    end loop;
end
$$;
