package nibble.cli.option;

import nibble.engine.Backends;
import nibble.engine.tensor.DeviceLayers;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Holds the options for where to compute a model, which card and host may share. */
public final class ModelDevice extends ActivationOption {
    @Option(
            names = "--gpu-layers",
            paramLabel = "N|auto",
            description =
                    "Decoder layers that the card computes, the last ones. The CPU computes the others and keeps their"
                            + " part of the KV cache. auto: as many as fit on the card beside the cache. Default: auto"
                            + " when text is generated, otherwise all. Layers that exceed the memory then stream"
                            + " through the card.")
    @Nullable
    String gpuLayers;

    @Override
    DeviceLayers layers(boolean generating) {
        if (gpuLayers == null) {
            return generating ? DeviceLayers.FITTING : DeviceLayers.ALL;
        }
        if (gpuLayers.equals("auto")) {
            return DeviceLayers.FITTING;
        }
        int number;
        try {
            number = Integer.parseInt(gpuLayers);
        } catch (NumberFormatException _) {
            throw new UsageException("--gpu-layers " + gpuLayers + ": a number of layers or auto");
        }
        if (number < 0) {
            throw new UsageException("--gpu-layers " + gpuLayers + ": 0 or more");
        }
        if (number > 0) {
            requireCard();
        }
        return new DeviceLayers(number);
    }

    private void requireCard() {
        boolean host = device.device.equals("cpu") || device.device.equals("reference");
        String missing = device.device.equals("auto") ? Backends.whyNoCard() : "";
        if (host || !missing.isEmpty()) {
            throw new UsageException("--gpu-layers " + gpuLayers + " needs a card, as --device cuda:0"
                    + (missing.isEmpty() ? "" : " (" + missing + ")"));
        }
    }
}
