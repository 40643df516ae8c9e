package nibble.checkpoint.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import nibble.checkpoint.model.layer.LayerAttention;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.ConfigKeys;

/** Reads how each layer attends: the kinds that a config names, or those of its architecture. */
final class LayerKinds {
    private LayerKinds() {}

    /**
     * Returns how each layer attends.
     *
     * @throws BadCheckpointException if the config names a kind that is not supported
     */
    static List<LayerAttention> read(Architecture architecture, ConfigKeys keys, int layers) {
        Optional<Integer> window = architecture.window(keys);
        List<String> kinds = kinds(architecture, keys, layers, window.isPresent());
        LayerAttention full = new LayerAttention(
                ModelConfig.NO_WINDOW, Optional.of(RopeKeys.read(keys, architecture, LayerAttention.FULL)));
        LayerAttention sliding = new LayerAttention(
                window.orElse(ModelConfig.NO_WINDOW),
                Optional.of(RopeKeys.read(keys, architecture, LayerAttention.SLIDING)));
        List<LayerAttention> result = new ArrayList<>();
        for (int layer = 0; layer < layers; layer++) {
            LayerAttention kind = kinds.get(layer).equals(LayerAttention.SLIDING) ? sliding : full;
            result.add(architecture.hasRope(keys, layer) ? kind : new LayerAttention(kind.window(), Optional.empty()));
        }
        return List.copyOf(result);
    }

    private static List<String> kinds(Architecture architecture, ConfigKeys keys, int layers, boolean window) {
        Optional<JsonNode> stated = keys.value("layer_types");
        if (stated.isPresent() && !stated.get().isArray()) {
            throw keys.wrong("layer_types", stated.get(), "a list of names, one a layer");
        }
        Optional<JsonNode> types = stated.filter(list -> !list.isEmpty());
        List<String> kinds = new ArrayList<>();
        if (types.isEmpty()) {
            for (int layer = 0; layer < layers; layer++) {
                kinds.add(window && architecture.slides(keys, layer) ? LayerAttention.SLIDING : LayerAttention.FULL);
            }
            return kinds;
        }
        for (JsonNode type : types.get()) {
            kinds.add(type.asText().equals("attention") ? LayerAttention.FULL : type.asText());
        }
        Set<String> different = new TreeSet<>(kinds);
        Set<String> supported =
                window ? Set.of(LayerAttention.FULL, LayerAttention.SLIDING) : Set.of(LayerAttention.FULL);
        if (!supported.containsAll(different)) {
            throw new BadCheckpointException(
                    keys.file(),
                    "layer_types " + different + " are not supported; supported in " + architecture.className() + ": "
                            + (window
                                    ? "full_attention and sliding_attention"
                                    : "full_attention, as the config has no window"));
        }
        if (different.size() == 1) {
            return Collections.nCopies(layers, kinds.getFirst());
        }
        if (kinds.size() != layers) {
            throw new BadCheckpointException(
                    keys.file(),
                    "layer_types has " + kinds.size() + " entries for " + layers
                            + " layers; take the model's original config.json");
        }
        return kinds;
    }
}
