insert into meta.motivo_cuarentena (regla, descripcion, que_hacer) values
('clave_demasiado_larga', 'La clave de la fila es más larga de lo que admite un índice (2.400 bytes).', 'Revise si esas columnas son de verdad la clave; si lo son, pida al área una más corta.'),
('mes_imposible', 'La tabla se divide en meses y la fecha de la fila no es de 1800 a 2199.', 'Corrija la fecha en el origen. Si es una marca («sin fin», «sin dato»), pida que llegue vacía o divida la tabla por otra columna.');
