package nibble.cluster.spark;

import java.io.Serializable;
import nibble.engine.attention.CacheType;

/**
 * Says which model an executor's engine runs, and where.
 *
 * @param model folder or file, the same on every host
 * @param device its name, or {@code auto}: the card that Spark gave, otherwise the CPU
 * @param cache how the KV cache holds keys and values
 */
public record EnginePlace(String model, String device, CacheType cache) implements Serializable {
    /** Names a place whose KV cache has the device's own precision. */
    public EnginePlace(String model, String device) {
        this(model, device, CacheType.AUTO);
    }
}
