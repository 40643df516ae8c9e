package nibble.checkpoint.model;

import java.util.Optional;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.ConfigKeys;

/** Reads {@link Rope} from either style of config. */
final class RopeKeys {
    /** What transformers assumes where a config says nothing. */
    private static final double DEFAULT_THETA = 10_000;

    private static final double MAX_THETA = 1e15;
    private static final double MAX_FACTOR = 1e6;

    private RopeKeys() {}

    static Rope read(ConfigKeys config) {
        double theta = config.numberIfPresent("rope_theta", 1, MAX_THETA).orElse(DEFAULT_THETA);
        refusePartial(config);
        Optional<Rope> scaling = read(config, "rope_scaling", theta);
        Optional<Rope> parameters = read(config, "rope_parameters", theta);
        if (scaling.isPresent() && parameters.isPresent() && !scaling.equals(parameters)) {
            throw new BadCheckpointException(
                    config.file(),
                    "rope_scaling (" + scaling.get() + ") and rope_parameters (" + parameters.get()
                            + ") differ; keep the one that the model was trained with");
        }
        return parameters.or(() -> scaling).orElseGet(() -> new Rope(theta, new Rope.None()));
    }

    /** One of the two styles; an empty object says nothing. */
    private static Optional<Rope> read(ConfigKeys config, String key, double theta) {
        return config.object(key)
                .filter(object -> !object.isEmpty())
                .map(object -> read(new ConfigKeys(config.file(), object, key + "."), theta));
    }

    private static Rope read(ConfigKeys keys, double outerTheta) {
        double theta = keys.numberIfPresent("rope_theta", 1, MAX_THETA).orElse(outerTheta);
        refusePartial(keys);
        refuseByLayer(keys);
        Optional<String> named = keys.text("rope_type").or(() -> keys.text("type"));
        if (named.isEmpty() && keys.value("factor").isPresent()) {
            throw new BadCheckpointException(
                    keys.file(),
                    keys.prefix()
                            + "factor without a rope_type, which loaders read in different ways; add the rope_type"
                            + " that the model was trained with (linear, dynamic, llama3)");
        }
        String type = named.orElse("default");
        Rope.Scaling scaling = switch (type) {
            case "default" -> new Rope.None();
            case "linear" -> new Rope.Linear(keys.number("factor", 1, MAX_FACTOR));
            case "dynamic" -> new Rope.DynamicNtk(keys.number("factor", 1, MAX_FACTOR));
            case "llama3" -> llama3(keys);
            default ->
                throw new BadCheckpointException(
                        keys.file(),
                        "rope type \"" + type + "\" is not supported; supported: default, linear, dynamic, llama3");
        };
        return new Rope(theta, scaling);
    }

    /** Models with windows in some layers have an object for each kind of layer. */
    private static void refuseByLayer(ConfigKeys keys) {
        keys.json().properties().stream()
                .filter(entry -> entry.getValue().isObject())
                .findFirst()
                .ifPresent(entry -> {
                    throw new BadCheckpointException(
                            keys.file(),
                            keys.prefix() + entry.getKey()
                                    + " is an object: rope of its own in some layers is not supported;"
                                    + " supported: the same in all layers");
                });
    }

    private static void refusePartial(ConfigKeys keys) {
        double share = keys.numberIfPresent("partial_rotary_factor", 0, 1).orElse(1.0);
        if (share != 1.0) {
            throw new BadCheckpointException(
                    keys.file(),
                    keys.prefix() + "partial_rotary_factor " + share
                            + " is not supported; supported: rope over whole heads, 1");
        }
    }

    private static Rope.Llama3 llama3(ConfigKeys keys) {
        double low = keys.number("low_freq_factor", Double.MIN_NORMAL, MAX_FACTOR);
        double high = keys.number("high_freq_factor", Double.MIN_NORMAL, MAX_FACTOR);
        if (low >= high) {
            throw new BadCheckpointException(
                    keys.file(),
                    keys.prefix() + "low_freq_factor " + low + " is not below high_freq_factor " + high
                            + "; take the model's original config.json");
        }
        return new Rope.Llama3(
                keys.number("factor", 1, MAX_FACTOR),
                low,
                high,
                keys.integer("original_max_position_embeddings", 1, 1 << 28));
    }
}
