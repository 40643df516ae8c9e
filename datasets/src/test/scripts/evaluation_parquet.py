"""Makes the Parquet fixtures of EvaluationDataTest: a few rows in the columns and types of the hub's data sets, Snappy like those.

    python evaluation_parquet.py datasets/src/test/resources/nibble/datasets/evaluation        (pyarrow 25.0.1)
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

OUT = Path(sys.argv[1])


def write(name, rows, schema):
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), OUT / name, compression="snappy")


strings = pa.list_(pa.string())
write(
    "hellaswag.parquet",
    [
        {"ind": 4, "activity_label": "Removing ice from car", "ctx_a": "Then, the man writes over the snow.", "ctx_b": "then",
         "endings": [", the man adds wax.", ", a person board a ski lift [title] x.", "[header] two  spaces.", "[substeps] d"], "label": "3"},
        {"ind": 5, "activity_label": "Baking", "ctx_a": "Ein [step] Mann", "ctx_b": "ÉCLAIRS and MORE", "endings": ["a", "b", "c", "d"],
         "label": "0"},
    ],
    pa.schema([("ind", pa.int32()), ("activity_label", pa.string()), ("ctx_a", pa.string()), ("ctx_b", pa.string()),
               ("endings", strings), ("label", pa.string())]),
)
write(
    "arc.parquet",
    [
        {"id": "a", "question": "Which?", "choices": {"text": ["x", "y", "z", "w"], "label": ["A", "B", "C", "D"]}, "answerKey": "C"},
        {"id": "b", "question": "What?", "choices": {"text": ["x", "y", "z"], "label": ["1", "2", "3"]}, "answerKey": "2"},
    ],
    pa.schema([("id", pa.string()), ("question", pa.string()), ("choices", pa.struct([("text", strings), ("label", strings)])),
               ("answerKey", pa.string())]),
)
