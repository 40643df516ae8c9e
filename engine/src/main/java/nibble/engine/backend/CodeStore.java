package nibble.engine.backend;

import java.util.Map;
import nibble.checkpoint.model.Linear;
import nibble.pack.QuantizedLinear;

/**
 * Keeps codes and zeros of the linears of many layers: where a device computes, or, if that has no room for all of
 * them, on the host until they are asked for. Owns them.
 */
public interface CodeStore extends AutoCloseable {
    /** Takes the codes and zeros of the next layer; its scales are not looked at. */
    void add(Map<Linear, QuantizedLinear> layer);

    /**
     * Returns the codes of a layer, to be used until the next call.
     *
     * @param next the layer that is asked for next, which may be brought meanwhile
     */
    Map<Linear, PlacedCodes> layer(int index, int next);

    @Override
    void close();
}
