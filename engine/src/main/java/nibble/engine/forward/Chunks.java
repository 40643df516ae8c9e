package nibble.engine.forward;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.IntFunction;
import nibble.engine.attention.AttentionShape;
import nibble.engine.attention.SequencePart;
import nibble.engine.backend.LayerOperations;
import nibble.engine.tensor.Matrix;

/**
 * Computes attention of a layer whose queries see their own chunk of positions alone, as attention to all positions of
 * one chunk after another.
 *
 * @param length positions of a chunk; {@link nibble.checkpoint.model.layer.LayerAttention#NO_WINDOW} for one chunk
 */
public record Chunks(int length) {
    /** A run of positions inside one chunk. */
    private record Run(int from, int to, int start) {}

    /** Cuts positions {@code from .. to} at the ends of chunks. */
    private List<Run> runs(int from, int to) {
        List<Run> runs = new ArrayList<>();
        for (int position = from; position < to; ) {
            int start = position - position % length;
            int end = (int) Math.min(to, (long) start + length);
            runs.add(new Run(position, end, start));
            position = end;
        }
        return runs;
    }

    /** Computes {@link LayerOperations#attention(AttentionShape, int, Matrix, int, Matrix, Matrix, Matrix)}. */
    void attend(
            LayerOperations backend,
            AttentionShape shape,
            int sequences,
            Matrix query,
            int first,
            Matrix keys,
            Matrix values,
            Matrix out) {
        int tokens = query.rows() / sequences;
        if (first + tokens <= length) {
            backend.attention(shape, sequences, query, first, keys, values, out);
            return;
        }
        int keyRows = keys.rows() / sequences;
        for (int sequence = 0; sequence < sequences; sequence++) {
            SequencePart part = new SequencePart(sequence * tokens, tokens, first, sequence * keyRows);
            attend(backend, shape, part, query, keys, values, out);
        }
    }

    /** Computes attention of a part of the rows of a longer matrix. */
    public void attend(
            LayerOperations backend,
            AttentionShape shape,
            SequencePart part,
            Matrix query,
            Matrix keys,
            Matrix values,
            Matrix out) {
        for (Run run : runs(part.firstPosition(), part.seen())) {
            SequencePart own = new SequencePart(
                    part.firstRow() + run.from - part.firstPosition(),
                    run.to - run.from,
                    run.from - run.start,
                    part.firstKey() + run.start);
            backend.attention(shape, own, query, keys, values, out);
        }
    }

    /**
     * Computes attention of parts of several sequences, whose keys and values lie in blocks. Keys of a chunk that
     * begins inside a block are brought together in a copy.
     */
    public void attend(
            LayerOperations backend,
            AttentionShape shape,
            List<SequencePart.InBlocks> parts,
            Matrix query,
            Matrix keys,
            Matrix values,
            Matrix out) {
        if (parts.stream().allMatch(part -> part.seen() <= length)) {
            // A card keeps what it prepares for a list of parts, for all layers.
            backend.attention(shape, parts, query, keys, values, out);
            return;
        }
        List<SequencePart.InBlocks> whole = new ArrayList<>();
        for (SequencePart.InBlocks part : parts) {
            for (Run run : runs(part.firstPosition(), part.seen())) {
                int firstRow = part.firstRow() + run.from - part.firstPosition();
                int rows = run.to - run.from;
                int blockTokens = part.blockTokens();
                if (run.start % blockTokens == 0) {
                    int[] blocks = part.blocks();
                    int[] own = Arrays.copyOfRange(blocks, run.start / blockTokens, blocks.length);
                    whole.add(new SequencePart.InBlocks(firstRow, rows, run.from - run.start, own, blockTokens));
                    continue;
                }
                IntFunction<Matrix> allocate = columns -> backend.allocate(run.to - run.start, columns);
                try (Matrix k = allocate.apply(keys.columns());
                        Matrix v = allocate.apply(values.columns())) {
                    for (int position = run.start; position < run.to; ) {
                        int count = Math.min(blockTokens - position % blockTokens, run.to - position);
                        backend.copyRows(keys, part.keyRow(position), count, k, position - run.start);
                        backend.copyRows(values, part.keyRow(position), count, v, position - run.start);
                        position += count;
                    }
                    SequencePart own = new SequencePart(firstRow, rows, run.from - run.start, 0);
                    backend.attention(shape, own, query, k, v, out);
                }
            }
        }
        if (!whole.isEmpty()) {
            backend.attention(shape, whole, query, keys, values, out);
        }
    }
}
