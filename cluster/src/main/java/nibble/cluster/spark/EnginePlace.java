package nibble.cluster.spark;

import java.io.Serializable;

/**
 * Says which model an executor's engine runs, and where.
 *
 * @param model folder or file, the same on every host
 * @param device its name, or {@code auto}: the card that Spark gave, otherwise the CPU
 */
public record EnginePlace(String model, String device) implements Serializable {}
