package nibble.checkpoint;

import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import nibble.checkpoint.source.BadCheckpointException;
import nibble.checkpoint.source.ConfigKeys;
import nibble.checkpoint.source.Finding;
import nibble.checkpoint.source.StrictJson;

/** Folders of adapters (LoRA and others, as PEFT writes them), which hold a change to a model and not the model. */
final class AdapterFolder {
    private static final String CONFIG = "adapter_config.json";
    private static final String WEIGHTS = "adapter_model";

    private AdapterFolder() {}

    /** Whether a weight file is an adapter's. */
    static boolean isAdapter(String name) {
        return name.startsWith(WEIGHTS);
    }

    /** @throws BadCheckpointException if the folder holds an adapter and no model */
    static void refuse(Path folder, List<String> names) {
        boolean adapter = names.contains(CONFIG) || names.stream().anyMatch(AdapterFolder::isAdapter);
        if (!adapter || WeightFiles.areAmong(names)) {
            return;
        }
        String base = "its base model";
        String kind = "LoRA";
        if (names.contains(CONFIG)) {
            ConfigKeys keys = new ConfigKeys(folder.resolve(CONFIG), StrictJson.readObject(folder.resolve(CONFIG)), "");
            base = keys.text("base_model_name_or_path")
                    .filter(name -> !name.isEmpty())
                    .orElse(base);
            kind = keys.text("peft_type").orElse(kind);
        }
        throw new BadCheckpointException(
                folder,
                "holds an adapter (" + kind + ", " + CONFIG + "), a change to " + base
                        + " and no model; merge the two first, with"
                        + " merge_and_unload() and save_pretrained() in PEFT, and give the merged folder");
    }

    /** Tells of an adapter that lies beside a whole model. */
    static void remark(Path folder, List<String> names, Consumer<Finding> notes) {
        names.stream()
                .filter(AdapterFolder::isAdapter)
                .findFirst()
                .ifPresent(name -> notes.accept(Finding.warning(
                        "adapter",
                        folder.resolve(name)
                                + ": there is an adapter beside the model, and Nibble does not apply"
                                + " it; to use it, merge it first and give the merged folder")));
    }
}
