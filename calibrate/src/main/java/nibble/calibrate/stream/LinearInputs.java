package nibble.calibrate.stream;

import java.util.Collection;
import java.util.function.BiConsumer;
import nibble.checkpoint.model.LayerLinear;
import nibble.engine.quantize.InputStatistics;

/**
 * Gives what is known of the inputs of a layer's linears: of all at any time, or of some after the others where memory
 * has no room for all.
 *
 * @param <T> {@link InputStatistics}, or moments on two streams
 */
@FunctionalInterface
public interface LinearInputs<T> {
    /**
     * Gives the input of each of some linears, in an order of its own.
     *
     * @param use takes each linear once, with its input, which is valid during the call alone
     */
    void forEach(Collection<LayerLinear> linears, BiConsumer<LayerLinear, T> use);
}
