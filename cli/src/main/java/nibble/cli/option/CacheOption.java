package nibble.cli.option;

import nibble.engine.Llama;
import nibble.engine.attention.CacheType;
import picocli.CommandLine.Option;

/** Holds the option for how the KV cache holds keys and values. */
public final class CacheOption {
    @Option(
            names = "--kv-cache-dtype",
            paramLabel = "auto|int8",
            defaultValue = "auto",
            description =
                    "How the KV cache holds keys and values: auto, in the device's precision, or int8. int8 takes half"
                            + " the memory on a card and a quarter on a CPU, and is less exact. Default:"
                            + " ${DEFAULT-VALUE}.")
    private String type = "auto";

    /** Returns what is asked for. */
    public CacheType type() {
        return switch (type) {
            case "auto" -> CacheType.AUTO;
            case "int8" -> CacheType.INT8;
            default -> throw new UsageException("--kv-cache-dtype " + type + ": auto or int8");
        };
    }

    /** Checks that a model can have such a cache. */
    public static void require(CacheType type, Llama model) {
        if (type != CacheType.AUTO && model.sharesWithHost()) {
            throw new UsageException("--kv-cache-dtype int8 needs all layers on one device; leave out --gpu-layers,"
                    + " or give --device cpu");
        }
    }

    /** Returns a device's description with what its KV cache holds, where that is not the device's own precision. */
    public static String described(CacheType type, String device) {
        return type == CacheType.AUTO ? device : device + ", KV cache in " + type.label();
    }
}
