package nibble.convert.gguf;

import java.util.List;
import java.util.Optional;
import java.util.function.IntFunction;
import java.util.function.LongUnaryOperator;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import nibble.checkpoint.gguf.GgufLatent;
import nibble.checkpoint.gguf.GgufPlan;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.LatentAttention;
import nibble.checkpoint.tensor.Shape;
import nibble.convert.blocks.Importance;
import org.jspecify.annotations.Nullable;

/**
 * Makes the two tensors of a GGUF file that hold kv_b_proj: what keys of each head are made by, turned over, and what
 * values are made by.
 *
 * @param exact whether codes and scales of the source are kept
 */
record LatentTensors(
        ModelConfig config, GgufMix mix, boolean exact, SourceTensors tensors, Optional<Importance> importance) {
    /** Gives rows of kv_b_proj in a type of the file. */
    interface Rows {
        /**
         * Returns rows.
         *
         * @param columns their importance, or null
         * @param from the linear's row of each
         */
        EncodedRows of(GgufType type, Shape shape, float @Nullable [] columns, LongUnaryOperator from);
    }

    /**
     * Returns the two tensors.
     *
     * @param sources names of the tensors that hold the linear
     * @param numbers its rows
     */
    List<GgufItem> of(LinearModule module, int layer, List<String> sources, Supplier<StoredRows> numbers, Rows rows) {
        LatentAttention extents = config.latent().orElseThrow();
        String block = "blk." + layer + ".";
        // Codes of a group cannot be turned over with their scale.
        GgufType keys = exact ? GgufType.F16 : mix.of(extents.plain());
        GgufType values = mix.of(extents.rank());
        Shape keyShape = Shape.of(config.heads(), extents.rank(), extents.plain());
        Shape valueShape = Shape.of(config.heads(), extents.value(), extents.rank());
        int each = extents.plain() + extents.value();
        LongUnaryOperator valueRow = row -> row / extents.value() * each + extents.plain() + row % extents.value();
        int heads = config.heads();
        // Missing importance is found before anything is written.
        columns(block + GgufLatent.KEYS, 0, extents.plain());
        columns(block + GgufLatent.VALUES, 0, extents.rank());
        return List.of(
                new GgufItem(new GgufPlan.Entry(block + GgufLatent.KEYS, keys, keyShape), sources, () -> {
                    StoredRows source = numbers.get();
                    return heads(heads, extents.rank(), keys.bytes(extents.plain()), head -> {
                        float @Nullable [] columns = columns(block + GgufLatent.KEYS, head, extents.plain());
                        long above = (long) head * extents.rank();
                        return (first, count, into) -> {
                            TurnedHeads turned = new TurnedHeads(source, extents);
                            tensors.encoder(
                                            module.name(layer),
                                            keys,
                                            keyShape,
                                            columns,
                                            (row, to) -> turned.read(above + row, to))
                                    .rows(first, count, into);
                        };
                    });
                }),
                new GgufItem(
                        new GgufPlan.Entry(block + GgufLatent.VALUES, values, valueShape),
                        sources,
                        () -> heads(heads, extents.value(), values.bytes(extents.rank()), head -> {
                            long above = (long) head * extents.value();
                            return rows.of(
                                    values,
                                    valueShape,
                                    columns(block + GgufLatent.VALUES, head, extents.rank()),
                                    row -> valueRow.applyAsLong(above + row));
                        })));
    }

    private static EncodedRows heads(int heads, int rows, long rowBytes, IntFunction<EncodedRows> head) {
        return EncodedRows.stacked(IntStream.range(0, heads).mapToObj(head).toList(), rows, Math.toIntExact(rowBytes));
    }

    private float @Nullable [] columns(String tensor, int head, int features) {
        return importance
                .map(found -> found.columns(tensor, head, config.heads(), features))
                .orElse(null);
    }
}
