package nibble.convert;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.SideFiles;
import nibble.files.output.OutputException;

/** What a checkpoint has beside its shards: config files, and the source's side files byte for byte. */
final class CheckpointFiles {
    private final Checkpoint source;
    private final Map<String, String> texts;
    private final SequencedMap<String, byte[]> madeFiles;

    /**
     * Makes those of the source's files that have to be made, which may be damaged, so that it is found out before
     * anything is written.
     *
     * @param texts name and content of the files that are not the source's
     */
    CheckpointFiles(Checkpoint source, Map<String, String> texts) {
        this.source = source;
        this.texts = new LinkedHashMap<>(texts);
        this.madeFiles = source.madeFiles();
    }

    /**
     * Writes them all; those of an earlier run may be there. They are not synced: their folder's commit does that.
     *
     * @param alsoCopied names of files that are copied too where the source has them
     * @throws OutputException if the disk is full or refuses
     */
    void write(Path folder, String... alsoCopied) {
        Path file = folder;
        try {
            for (Map.Entry<String, String> text : texts.entrySet()) {
                file = folder.resolve(text.getKey());
                Files.write(file, text.getValue().getBytes(StandardCharsets.UTF_8));
            }
            for (Path side : source.sideFiles()) {
                file = folder.resolve(SideFiles.name(source.folder(), side));
                SideFiles.copy(side, file);
            }
            for (String name : alsoCopied) {
                Path found = source.folder().resolve(name);
                file = folder.resolve(name);
                if (Files.isRegularFile(found)) {
                    SideFiles.copy(found, file);
                }
            }
            for (Map.Entry<String, byte[]> made : madeFiles.entrySet()) {
                file = folder.resolve(made.getKey());
                Files.write(file, made.getValue());
            }
        } catch (IOException e) {
            throw OutputException.of(file, "writing", e);
        }
    }
}
