"""The catalogue of planted defects and the log of the rows that carry them.

What a defect *is* (kind, dataset, how many, what the warehouse should do with it) belongs here.
How it is written into the rows belongs in the module of each subject.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from seeds.sample.config import SampleSize
from seeds.sample.tables import Key

# 'ninguno': an oddity of the format that a reader takes in its stride (a blank spreadsheet line).
Treatment = Literal["cuarentena", "correccion", "hallazgo", "ninguno"]


@dataclass(frozen=True)
class Defect:
    """One kind of known problem. ``count`` is the number of cases in a full-size sample."""

    system: str
    dataset: str
    kind: str
    treatment: Treatment
    count: int
    description: str

    @property
    def id(self) -> str:
        """``<system>.<dataset>.<kind>``."""
        return f"{self.system}.{self.dataset}.{self.kind}"


def _of(system: str, dataset: str, *entries: tuple[str, Treatment, int, str]) -> tuple[Defect, ...]:
    return tuple(Defect(system, dataset, *entry) for entry in entries)


_MLC = (
    *_of(
        "mlc",
        "proyectos",
        ("nombre_mal_codificado", "correccion", 4, "Nombre en UTF-8 leído como Latin-1"),
        ("estado_variante", "correccion", 6, "Estado con mayúsculas, acentos o espacios"),
        ("distrito_variante", "correccion", 3, "Distrito con mayúsculas o espacios de más"),
        ("programa_inexistente", "hallazgo", 3, "programa_id que no está en programas"),
        ("fin_antes_de_inicio", "hallazgo", 3, "Fin previsto anterior al inicio"),
        ("completo_y_planificado", "hallazgo", 2, "Avance 100 % en un proyecto planificado"),
        ("avance_mayor_a_100", "hallazgo", 2, "Avance de 120 %"),
        ("codigo_duplicado", "hallazgo", 2, "Código de otro proyecto"),
        ("ods_invalido", "hallazgo", 2, "ODS 18: la lista termina en 17"),
    ),
    *_of(
        "mlc",
        "hitos",
        ("cumplido_antes_de_inicio", "hallazgo", 8, "Hito cumplido antes de iniciar el proyecto"),
        ("cumplido_sin_fecha", "hallazgo", 6, "Hito cumplido sin fecha de cumplimiento"),
        ("proyecto_inexistente", "hallazgo", 3, "Hito de un proyecto que no existe"),
    ),
    *_of(
        "mlc",
        "indicadores",
        ("nombre_mal_codificado", "correccion", 1, "Nombre en UTF-8 leído como Latin-1"),
        ("categoria_variante", "correccion", 1, "Categoría con mayúscula y espacio final"),
    ),
    *_of(
        "mlc",
        "metas",
        ("sin_vinculo", "hallazgo", 2, "Meta sin indicador y sin proyecto"),
    ),
    *_of(
        "mlc",
        "mediciones",
        ("indicador_inexistente", "hallazgo", 4, "Medición de un indicador que no existe"),
        ("valor_atipico", "hallazgo", 3, "Valor mil veces mayor que los vecinos"),
    ),
)

_AGUAS = (
    *_of(
        "aguas",
        "cuentas",
        ("sin_zona", "hallazgo", 5, "Cuenta sin zona"),
        ("coordenadas_intercambiadas", "correccion", 3, "Latitud en longitud y al revés"),
        ("coordenadas_fuera", "hallazgo", 2, "Punto fuera del departamento"),
        ("distrito_variante", "correccion", 8, "Distrito con mayúsculas o espacios de más"),
        ("inactiva_con_consumo", "hallazgo", 3, "Cuenta dada de baja cuyo medidor registra uso"),
    ),
    *_of(
        "aguas",
        "medidores",
        ("sin_cuenta", "hallazgo", 4, "Medidor sin cuenta"),
        ("fecha_cero", "cuarentena", 5, "fecha_retiro '0000-00-00', costumbre de MySQL"),
        ("retirado_con_lecturas", "hallazgo", 2, "Medidor retirado que sigue enviando lecturas"),
    ),
    *_of(
        "aguas",
        "lecturas_macromedidor",
        ("dia_faltante", "hallazgo", 3, "Día sin volumen informado"),
        ("volumen_negativo", "hallazgo", 1, "Volumen diario negativo"),
        ("supera_caudal_maximo", "hallazgo", 2, "Volumen mayor que el caudal máximo por 24 h"),
    ),
    *_of(
        "aguas",
        "facturacion",
        ("importe_negativo", "hallazgo", 6, "Importe negativo"),
        ("m3_distinto_del_medidor", "hallazgo", 12, "m³ de junio que no surgen de las lecturas"),
        ("duplicada", "hallazgo", 4, "Segunda factura de la misma cuenta y período"),
        ("estado_variante", "correccion", 20, "Estado con mayúsculas o espacios de más"),
    ),
    *_of(
        "aguas",
        "red_infraestructura",
        ("anio_futuro", "hallazgo", 2, "Año de instalación 2062"),
        ("estado_variante", "correccion", 3, "Estado con mayúsculas o espacios de más"),
    ),
    *_of(
        "aguas",
        "calidad_agua",
        ("turbidez_alta", "hallazgo", 3, "Turbidez 9 NTU, sobre el límite de 3"),
        ("ph_imposible", "hallazgo", 2, "pH 71: falta la coma"),
        ("parametro_variante", "correccion", 5, "Parámetro con mayúsculas o espacios de más"),
    ),
    *_of(
        "aguas",
        "energia_bombeo",
        ("energia_desproporcionada", "hallazgo", 2, "Diez veces la energía: falta la coma"),
        ("estacion_inexistente", "hallazgo", 1, "Estación que no está en la red"),
    ),
    *_of(
        "aguas",
        "reportes_servicio",
        ("reparado_antes_del_reporte", "hallazgo", 4, "Reparación anterior al reporte"),
        ("reparado_sin_fecha", "hallazgo", 3, "Reporte reparado sin fecha de reparación"),
        ("zona_inexistente", "hallazgo", 2, "Zona que no está en zonas"),
        ("repetido", "hallazgo", 3, "El mismo reporte con otro número"),
        ("tipo_variante", "correccion", 8, "Tipo con mayúsculas o espacios de más"),
    ),
)

_CITYMIS = (
    *_of(
        "citymis",
        "solicitudes",
        ("cierre_antes_de_ingreso", "hallazgo", 10, "Cierre anterior al ingreso"),
        ("duplicada", "hallazgo", 8, "La misma solicitud con otro número"),
        ("coordenadas_fuera", "hallazgo", 10, "Punto fuera del departamento"),
        ("estado_variante", "correccion", 20, "Estado con mayúsculas o espacios de más"),
        ("distrito_desconocido", "hallazgo", 5, "Distrito que no es del departamento"),
    ),
    *_of(
        "citymis",
        "tramites",
        ("resolucion_antes_de_inicio", "hallazgo", 6, "Resolución anterior al inicio"),
        ("secretaria_inexistente", "hallazgo", 4, "secretaria_id que no está en secretarias"),
    ),
    *_of(
        "citymis",
        "beneficiarios",
        ("genero_variante", "correccion", 12, "Género escrito 'M', 'F', 'Hombre' o 'Varón'"),
        ("genero_fuera_de_lista", "hallazgo", 3, "Género 'X', sin equivalencia en el protocolo"),
        ("edad_en_lugar_de_fecha", "cuarentena", 4, "Edad ('34') en lugar de la fecha"),
        ("fecha_imposible", "cuarentena", 3, "Fecha de nacimiento 31/02/1980"),
        ("fecha_orden_iso", "correccion", 5, "Fecha de nacimiento en orden aaaa-mm-dd"),
        ("educacion_fuera_de_lista", "hallazgo", 4, "Nivel educativo fuera de la lista"),
        ("documento_duplicado", "hallazgo", 4, "Documento de otra persona"),
        ("programa_inexistente", "hallazgo", 2, "programa_id que no está en programas"),
        ("distrito_variante", "correccion", 3, "Distrito con mayúsculas o espacios de más"),
    ),
)

_PLANILLAS = (
    *_of(
        "planillas",
        "inventario_datasets",
        ("sin_responsable", "hallazgo", 1, "Conjunto de datos sin responsable"),
        ("secretaria_mal_escrita", "correccion", 1, "'Obras Publicas' sin acento"),
        ("clasificacion_variante", "correccion", 1, "'Libre Acceso ' en lugar de libre_acceso"),
        ("fecha_como_numero", "ninguno", 1, "Fecha guardada como número de serie de Excel"),
        ("fila_total", "cuarentena", 1, "Fila TOTAL al pie de la planilla"),
        ("fila_en_blanco", "ninguno", 1, "Fila en blanco en medio de los datos"),
    ),
    *_of(
        "planillas",
        "encuesta_habilidades",
        ("fecha_orden_iso", "correccion", 3, "Fecha de nacimiento en orden aaaa-mm-dd"),
        ("edad_en_lugar_de_fecha", "cuarentena", 1, "Edad en lugar de la fecha"),
        (
            "autoevaluacion_fuera_de_rango",
            "cuarentena",
            1,
            "Autoevaluación 7 en una escala de 1 a 5",
        ),
        ("genero_variante", "correccion", 3, "Género escrito 'M', 'F', 'Hombre' o 'Varón'"),
        ("secretaria_mal_escrita", "correccion", 2, "'Obras Publicas' sin acento"),
    ),
    *_of(
        "planillas",
        "kpi_manuales",
        ("coma_decimal", "correccion", 3, "Valor con coma decimal"),
        ("fila_total", "cuarentena", 1, "Fila TOTAL al pie de la planilla"),
    ),
)

_TELEMETRIA = (
    *_of(
        "telemetria",
        "lecturas",
        ("fuga_continua", "hallazgo", 30, "Fuga: caudal constante todas las horas"),
        ("rotura", "hallazgo", 4, "Rotura: cientos de litros por hora durante horas"),
        ("consumo_excesivo", "hallazgo", 8, "Consumo triplicado en los últimos diez días"),
        ("medidor_detenido", "hallazgo", 5, "Registro congelado de un medidor con uso"),
        ("retroceso", "hallazgo", 4, "El registro retrocede: consumo negativo"),
        ("vuelta_de_contador", "correccion", 3, "El contador pasa por 9999 y vuelve a cero"),
        ("hueco", "hallazgo", 12, "Varias horas seguidas sin lecturas"),
        ("pico", "hallazgo", 4, "Una sola lectura con miles de m³ de más"),
        ("bateria_baja", "hallazgo", 5, "Batería por debajo de 2,9 V"),
    ),
    *_of(
        "telemetria",
        "lecturas_csv",
        ("duplicada_mismo_dia", "correccion", 600, "Línea idéntica reenviada en el archivo"),
        ("reenviada_otro_dia", "correccion", 200, "Línea idéntica reenviada al día siguiente"),
        ("duplicada_distinta", "hallazgo", 10, "Otra lectura, estimada, de la misma hora"),
        ("fecha_imposible", "cuarentena", 5, "Fecha 31/06/2026"),
        ("fecha_sin_dato", "cuarentena", 3, "'sin dato' en lugar de la fecha"),
        ("fecha_futura", "cuarentena", 4, "Lectura del año 2062"),
        ("coma_decimal", "cuarentena", 6, "Lectura con coma decimal"),
        ("linea_truncada", "cuarentena", 3, "Línea cortada, con menos campos"),
        ("medidor_desconocido", "hallazgo", 1, "Medidor que no está en aguas.medidores"),
    ),
    *_of(
        "telemetria",
        "lecturas_lorawan",
        ("entregada_dos_veces", "correccion", 600, "El mismo mensaje por dos antenas"),
        ("sin_decodificar", "cuarentena", 5, "Mensaje sin contenido decodificado"),
        ("json_roto", "cuarentena", 2, "Línea JSON cortada"),
        ("fecha_1970", "cuarentena", 3, "Reloj sin hora: año 1970"),
        ("medidor_desconocido", "hallazgo", 1, "Medidor que no está en aguas.medidores"),
    ),
)

_MILUJAN = _of(
    "milujan",
    "tramites_digitales",
    ("satisfaccion_fuera_de_rango", "cuarentena", 5, "Satisfacción 9 en una escala de 1 a 5"),
    ("fin_antes_de_inicio", "hallazgo", 8, "Fin anterior al inicio"),
    ("secretaria_mal_escrita", "correccion", 10, "'Obras Publicas' sin acento"),
    ("estado_variante", "correccion", 15, "Estado con mayúsculas o espacios de más"),
)

CATALOGUE: tuple[Defect, ...] = (*_MLC, *_AGUAS, *_CITYMIS, *_PLANILLAS, *_TELEMETRIA, *_MILUJAN)


class DefectLog:
    """Which rows carry which defect. Filled while planting, checked and written at the end."""

    def __init__(self, size: SampleSize) -> None:
        self._size = size
        self._defects = {defect.id: defect for defect in CATALOGUE}
        self._keys: dict[str, list[Key]] = {defect_id: [] for defect_id in self._defects}

    def wanted(self, defect_id: str) -> int:
        """How many cases this sample plants."""
        return self._size.planted(self._defects[defect_id].count)

    def add(self, defect_id: str, key: Key) -> None:
        """Record one affected row (or meter, window or line)."""
        self._keys[defect_id].append(key)

    def check(self) -> None:
        """Raise when a kind of the catalogue was planted more or fewer times than declared."""
        wrong = {
            defect_id: (len(keys), self.wanted(defect_id))
            for defect_id, keys in self._keys.items()
            if len(keys) != self.wanted(defect_id)
        }
        if wrong:
            raise ValueError(f"planted defects differ from the catalogue: {wrong}")

    def quarantined(self) -> dict[str, int]:
        """Rows that a correct load sends to quarantine, per ``<system>.<dataset>``."""
        totals: dict[str, int] = {}
        for defect_id, keys in self._keys.items():
            defect = self._defects[defect_id]
            if defect.treatment == "cuarentena":
                name = f"{defect.system}.{defect.dataset}"
                totals[name] = totals.get(name, 0) + len(keys)
        return totals

    def as_document(self) -> list[dict[str, Any]]:
        """The catalogue with the exact keys, as ``ground_truth.json`` holds it."""
        return [
            {
                "id": defect.id,
                "sistema": defect.system,
                "dataset": defect.dataset,
                "clase": defect.kind,
                "descripcion": defect.description,
                "tratamiento": defect.treatment,
                "cantidad": len(self._keys[defect.id]),
                "claves": self._keys[defect.id],
            }
            for defect in CATALOGUE
        ]
