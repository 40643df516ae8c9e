package nibble.convert.gguf;

import java.util.List;
import java.util.function.LongUnaryOperator;
import java.util.function.Supplier;
import nibble.checkpoint.gguf.GgufLatent;
import nibble.checkpoint.gguf.GgufPlan;
import nibble.checkpoint.gguf.GgufType;
import nibble.checkpoint.model.LinearModule;
import nibble.checkpoint.model.ModelConfig;
import nibble.checkpoint.model.layer.LatentAttention;
import nibble.checkpoint.tensor.Shape;

/**
 * Makes the two tensors of a GGUF file that hold kv_b_proj: what keys of each head are made by, turned over, and what
 * values are made by.
 *
 * @param exact whether codes and scales of the source are kept
 */
record LatentTensors(ModelConfig config, GgufMix mix, boolean exact, SourceTensors tensors) {
    /** Gives rows of kv_b_proj in a type of the file. */
    interface Rows {
        /**
         * Returns rows.
         *
         * @param from the linear's row of each
         */
        EncodedRows of(GgufType type, Shape shape, LongUnaryOperator from);
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
        return List.of(
                new GgufItem(new GgufPlan.Entry(block + GgufLatent.KEYS, keys, keyShape), sources, () -> {
                    StoredRows source = numbers.get();
                    return (first, count, into) -> tensors.encoder(
                                    module.name(layer), keys, keyShape, null, new TurnedHeads(source, extents))
                            .rows(first, count, into);
                }),
                new GgufItem(
                        new GgufPlan.Entry(block + GgufLatent.VALUES, values, valueShape),
                        sources,
                        () -> rows.of(values, valueShape, valueRow)));
    }
}
