package nibble.engine.gradient;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;
import nibble.checkpoint.model.Linear;
import nibble.checkpoint.model.ModelConfig;
import nibble.engine.backend.CodeStore;
import nibble.engine.backend.GradientOperations;
import nibble.engine.backend.Parameter;
import nibble.engine.backend.PlacedWeight;
import nibble.engine.tensor.DecoderLayer;
import nibble.engine.tensor.Weight;
import nibble.pack.QuantizedLinear;

/**
 * Holds a quantized model whose scales and norms are tuned, and its codes where there is room, where a device computes;
 * zeros, embedding and head stay as they are. Owns what it takes there.
 */
public final class TunedModel implements AutoCloseable {
    private final ModelConfig config;
    private final Weight embedding;
    private final List<TunedLayer> layers = new ArrayList<>();
    private final Parameter finalNorm;
    private final PlacedWeight head;
    private final CodeStore codes;

    /**
     * Begins with a model of codes and scales.
     *
     * @param read a layer on the host; not kept
     * @param finalNorm gain
     * @param residentCodes layers whose codes stay where the device computes
     * @param movesCodes whether codes are tuned; all of them must stay there then
     */
    public TunedModel(
            ModelConfig config,
            Weight embedding,
            IntFunction<DecoderLayer> read,
            float[] finalNorm,
            Weight head,
            GradientOperations operations,
            int residentCodes,
            boolean movesCodes) {
        this.config = config;
        this.embedding = embedding;
        this.head = operations.place(head);
        this.finalNorm = operations.parameter(finalNorm);
        this.codes = operations.codes(residentCodes);
        try {
            for (int i = 0; i < config.layers(); i++) {
                DecoderLayer layer = read.apply(i);
                Map<Linear, QuantizedLinear> quantized = TunedLayer.codes(layer);
                codes.add(quantized);
                layers.add(TunedLayer.of(layer, quantized, movesCodes ? codes.layer(i, i) : Map.of(), operations));
            }
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    public ModelConfig config() {
        return config;
    }

    public Weight embedding() {
        return embedding;
    }

    public List<TunedLayer> layers() {
        return layers;
    }

    public Parameter finalNorm() {
        return finalNorm;
    }

    public Weight head() {
        return head.weight();
    }

    CodeStore codes() {
        return codes;
    }

    /** Returns everything that is tuned, in a fixed order. */
    public List<Parameter> parameters() {
        List<Parameter> all = new ArrayList<>();
        layers.forEach(layer -> all.addAll(layer.parameters()));
        all.add(finalNorm);
        return all;
    }

    @Override
    public void close() {
        layers.forEach(TunedLayer::close);
        finalNorm.close();
        codes.close();
        head.close();
    }
}
