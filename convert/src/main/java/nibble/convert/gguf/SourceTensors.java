package nibble.convert.gguf;

import java.util.List;
import java.util.function.UnaryOperator;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.gguf.GgufPlan;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.tensor.Shape;
import nibble.checkpoint.tensor.StoredTensor;
import nibble.convert.blocks.BlockEncoder;
import org.jspecify.annotations.Nullable;

/** Makes tensors of a GGUF file of a checkpoint's tensors, whose weights must be finite and within the type's range. */
final class SourceTensors {
    private final Checkpoint source;

    SourceTensors(Checkpoint source) {
        this.source = source;
    }

    /** Numbers that rope divides frequencies by. */
    static GgufItem factors(String name, float[] factors) {
        return new GgufItem(
                new GgufPlan.Entry(name, GgufType.F32, Shape.of(factors.length)),
                List.of(),
                () -> (_, _, into) -> BlockEncoder.encode(GgufType.F32, factors, into));
    }

    /** A vector in fp32, changed as the file has it. */
    GgufItem vector(String name, String from, UnaryOperator<float[]> change) {
        StoredTensor stored = source.stored(from).orElseThrow();
        Shape shape = stored.spec().shape();
        StoredRows rows = (row, into) -> {
            checked(StoredRows.of(stored), from).read(row, into);
            System.arraycopy(change.apply(into.clone()), 0, into, 0, into.length);
        };
        return new GgufItem(
                new GgufPlan.Entry(name, GgufType.F32, shape),
                List.of(from),
                () -> encoder(from, GgufType.F32, shape, null, rows));
    }

    /** Vectors of one length in fp32, each a row. */
    GgufItem stackedVectors(String name, List<String> from) {
        List<GgufItem> vectors =
                from.stream().map(each -> vector(name, each, x -> x)).toList();
        Shape one = vectors.getFirst().entry().shape();
        int length = Math.toIntExact(one.elements());
        return new GgufItem(
                new GgufPlan.Entry(name, GgufType.F32, Shape.of(from.size(), length)),
                from,
                () -> EncodedRows.stacked(
                        vectors.stream().map(vector -> vector.body().get()).toList(), 1, Float.BYTES * length));
    }

    /** A matrix whose rows are those of the source. */
    GgufItem matrix(String name, String from, GgufType type) {
        StoredTensor stored = source.stored(from).orElseThrow();
        Shape shape = stored.spec().shape();
        return new GgufItem(
                new GgufPlan.Entry(name, type, shape),
                List.of(from),
                () -> encoder(from, type, shape, null, checked(StoredRows.of(stored), from)));
    }

    /** Rows whose weights must be finite. */
    StoredRows checked(StoredRows rows, String name) {
        return (row, into) -> {
            rows.read(row, into);
            if (Float.isFinite(EncodedRange.largest(into))) {
                return;
            }
            for (int i = 0; i < into.length; i++) {
                if (!Float.isFinite(into[i])) {
                    throw new BadCheckpointException(
                            source.fileOf(name),
                            "tensor " + name + " element [" + row + ", " + i + "] is " + into[i]
                                    + "; finite weights are needed. The file may be damaged: download it again");
                }
            }
        };
    }

    /** Rows in a type of the file; importance of columns or null. */
    EncodedRows encoder(String name, GgufType type, Shape shape, float @Nullable [] importance, StoredRows rows) {
        int columns = Math.toIntExact(shape.dim(shape.rank() - 1));
        return (first, count, into) -> {
            float[] values = new float[count * columns];
            float[] row = new float[columns];
            for (int i = 0; i < count; i++) {
                rows.read(first + i, row);
                System.arraycopy(row, 0, values, i * columns, columns);
            }
            BlockEncoder.encode(type, values, importance, into);
            requireRange(name, type, values, into);
        };
    }

    private void requireRange(String name, GgufType type, float[] values, byte[] encoded) {
        if (!EncodedRange.holds(type, values, encoded)) {
            throw new BadCheckpointException(
                    source.folder(),
                    "tensor " + name + " has weights of magnitude up to " + EncodedRange.largest(values)
                            + ", beyond what " + type + " holds; give --type BF16 or F32");
        }
    }
}
