package nibble.checkpoint.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import nibble.checkpoint.model.layer.LayerAttention;
import nibble.checkpoint.model.layer.Rope;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.ConfigKeys;

/** Reads the {@link Rope} of one kind of layer from either style of config. */
final class RopeKeys {
    private static final double MAX_THETA = 1e15;
    private static final double MAX_FACTOR = 1e6;
    private static final String ORIGINAL = "original_max_position_embeddings";
    private static final String PARTIAL = "partial_rotary_factor";

    private final ConfigKeys config;
    private final Architecture architecture;
    private final String kind;

    private RopeKeys(ConfigKeys config, Architecture architecture, String kind) {
        this.config = config;
        this.architecture = architecture;
        this.kind = kind;
    }

    /** @param kind of layer, as in {@code layer_types} */
    static Rope read(ConfigKeys config, Architecture architecture, String kind) {
        return new RopeKeys(config, architecture, kind).read();
    }

    private Rope read() {
        double theta = config.numberIfPresent(architecture.thetaKey(kind), 1, MAX_THETA)
                .orElse(architecture.theta(kind));
        double share = share(config, architecture.turnedShare(config));
        boolean scaled = !architecture.ropeDiffers() || kind.equals(LayerAttention.FULL);
        Optional<Rope> scaling =
                object(config, "rope_scaling").filter(_ -> scaled).map(keys -> read(keys, theta, share));
        Optional<Rope> parameters = object(config, "rope_parameters")
                .flatMap(keys -> architecture.ropeDiffers() ? ofKind(keys) : Optional.of(keys))
                .map(keys -> read(keys, theta, share));
        if (scaling.isPresent() && parameters.isPresent() && !scaling.equals(parameters)) {
            throw new BadCheckpointException(
                    config.file(),
                    "rope_scaling (" + scaling.get() + ") and rope_parameters (" + parameters.get()
                            + ") differ; keep the one that the model was trained with");
        }
        return parameters.or(() -> scaling).orElseGet(() -> new Rope(theta, architecture.scaling(), share));
    }

    /** An empty object says nothing. */
    private static Optional<ConfigKeys> object(ConfigKeys keys, String key) {
        return keys.object(key)
                .filter(object -> !object.isEmpty())
                .map(object -> new ConfigKeys(keys.file(), object, keys.prefix() + key + "."));
    }

    private Optional<ConfigKeys> ofKind(ConfigKeys keys) {
        if (keys.value("rope_type").isPresent() || keys.value("rope_theta").isPresent()) {
            throw new BadCheckpointException(
                    keys.file(),
                    "rope_parameters is one object for all layers; expected in " + architecture.className()
                            + ": one for full_attention and one for sliding_attention");
        }
        return object(keys, kind);
    }

    private Rope read(ConfigKeys keys, double outerTheta, double outerShare) {
        double theta = keys.numberIfPresent("rope_theta", 1, MAX_THETA).orElse(outerTheta);
        double share = share(keys, outerShare);
        refuseByLayer(keys);
        Optional<String> named = keys.text("rope_type").or(() -> keys.text("type"));
        if (named.isEmpty() && keys.value("factor").isPresent()) {
            throw new BadCheckpointException(
                    keys.file(),
                    keys.prefix()
                            + "factor without a rope_type, which loaders read in different ways; add the rope_type"
                            + " that the model was trained with (linear, dynamic, llama3, yarn)");
        }
        String type = architecture.ropeType(named.orElse("default"));
        Rope.Scaling scaling = switch (type) {
            case "default" -> new Rope.None();
            case "linear" -> new Rope.Linear(keys.number("factor", 1, MAX_FACTOR));
            case "dynamic" -> new Rope.DynamicNtk(keys.number("factor", 1, MAX_FACTOR));
            case "llama3" -> llama3(keys);
            case "yarn" -> yarn(keys);
            case "longrope" -> longRope(keys);
            default ->
                throw new BadCheckpointException(
                        keys.file(),
                        "rope type \"" + type
                                + "\" is not supported; supported: default, linear, dynamic, llama3, yarn, longrope");
        };
        return new Rope(theta, scaling, share);
    }

    /** Models with windows in some layers may have an object for each kind of layer. */
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

    private double share(ConfigKeys keys, double otherwise) {
        Optional<Double> stated = keys.numberIfPresent(PARTIAL, 0, 1);
        if (!architecture.turnsPartly() && stated.orElse(1.0) != 1.0) {
            throw new BadCheckpointException(
                    keys.file(),
                    keys.prefix() + PARTIAL + " " + stated.get() + " is not supported; supported in "
                            + architecture.className() + ": rope over whole heads, 1");
        }
        return architecture.turnsPartly() ? stated.orElse(otherwise) : otherwise;
    }

    private static Rope.Llama3 llama3(ConfigKeys keys) {
        double low = keys.number("low_freq_factor", Double.MIN_NORMAL, MAX_FACTOR);
        double high = keys.number("high_freq_factor", Double.MIN_NORMAL, MAX_FACTOR);
        if (low > high) {
            throw new BadCheckpointException(
                    keys.file(),
                    keys.prefix() + "low_freq_factor " + low + " is above high_freq_factor " + high
                            + "; take the model's original config.json");
        }
        return new Rope.Llama3(keys.number("factor", 1, MAX_FACTOR), low, high, keys.integer(ORIGINAL, 1, 1 << 28));
    }

    private int maxPositions() {
        return config.integerIfPresent("max_position_embeddings", 1, 1 << 28)
                .orElse(architecture.defaults().positions());
    }

    /** The length before scaling; a key beside {@code rope_scaling} has precedence, as in transformers. */
    private int original(ConfigKeys keys) {
        return config.integerIfPresent(ORIGINAL, 1, 1 << 28)
                .or(() -> keys.integerIfPresent(ORIGINAL, 1, 1 << 28))
                .orElseGet(this::maxPositions);
    }

    private Rope.Yarn yarn(ConfigKeys keys) {
        int original = original(keys);
        // transformers needs the key; null asks for what the extents say.
        double factor = keys.json().has("factor") && keys.json().get("factor").isNull()
                ? (double) maxPositions() / original
                : keys.number("factor", 1, MAX_FACTOR);
        double scale = keys.numberIfPresent("mscale", 0, MAX_FACTOR).orElse(0.0);
        double allScale = keys.numberIfPresent("mscale_all_dim", 0, MAX_FACTOR).orElse(0.0);
        double attention = keys.numberIfPresent("attention_factor", Double.MIN_NORMAL, MAX_FACTOR)
                .orElse(
                        scale != 0 && allScale != 0
                                ? attentionScale(factor, scale) / attentionScale(factor, allScale)
                                : attentionScale(factor, 1));
        return new Rope.Yarn(
                factor,
                attention,
                turns(keys, "beta_fast", 32),
                turns(keys, "beta_slow", 1),
                original,
                keys.flag("truncate", true));
    }

    /** How much larger yarn makes queries and keys for a context that is so many times longer. */
    static double attentionScale(double factor, double scale) {
        return factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1;
    }

    /** Null and 0 are transformers' default. */
    private static double turns(ConfigKeys keys, String key, double otherwise) {
        double turns = keys.numberIfPresent(key, 0, MAX_FACTOR).orElse(0.0);
        return turns == 0 ? otherwise : turns;
    }

    private Rope.LongRope longRope(ConfigKeys keys) {
        int original = original(keys);
        double factor = keys.numberIfPresent("factor", 1, MAX_FACTOR).orElse((double) maxPositions() / original);
        double attention = keys.numberIfPresent("attention_factor", Double.MIN_NORMAL, MAX_FACTOR)
                .orElse(factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original)));
        return new Rope.LongRope(
                factors(keys, "short_factor"),
                factors(keys, "long_factor"),
                architecture.scalesByLength() ? keys.number("short_mscale", Double.MIN_NORMAL, MAX_FACTOR) : attention,
                architecture.scalesByLength() ? keys.number("long_mscale", Double.MIN_NORMAL, MAX_FACTOR) : attention,
                original);
    }

    private static List<Double> factors(ConfigKeys keys, String key) {
        JsonNode list = keys.value(key).orElseThrow(() -> keys.missing(key));
        List<Double> factors = new ArrayList<>();
        for (JsonNode factor : list) {
            double value = factor.isNumber() ? factor.doubleValue() : Double.NaN;
            if (!(value > 0 && value <= MAX_FACTOR)) {
                throw keys.wrong(key, factor, "numbers above 0");
            }
            factors.add(value);
        }
        if (!list.isArray()) {
            throw keys.wrong(key, list, "a list of numbers");
        }
        return factors;
    }
}
