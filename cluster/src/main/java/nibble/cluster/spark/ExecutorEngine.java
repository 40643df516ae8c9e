package nibble.cluster.spark;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import nibble.checkpoint.Checkpoint;
import nibble.checkpoint.Fingerprint;
import nibble.checkpoint.vocabulary.TokenizerDescription;
import nibble.datasets.Tokenizer;
import nibble.datasets.Tokenizers;
import nibble.datasets.chat.StopIds;
import nibble.engine.Backends;
import nibble.engine.LanguageModel;
import nibble.engine.Llama;
import nibble.engine.attention.CacheType;
import nibble.engine.backend.Backend;
import nibble.engine.batch.CachedModel;
import org.jspecify.annotations.Nullable;

/**
 * Holds the one engine of an executor: a model, loaded when the first task asks for it and kept for those that follow.
 * Used by one task at a time; a task that asks for another model has this one closed first.
 */
public final class ExecutorEngine implements AutoCloseable {
    private static @Nullable ExecutorEngine engine;

    private final EnginePlace place;
    private final String device;
    private final Backend backend;
    private final Checkpoint checkpoint;
    private final Llama llama;
    private final CachedModel cached;
    private final Map<String, String> identity;
    private @Nullable Tokenizer tokenizer;
    private @Nullable Set<Integer> stopIds;

    /** Does a task's work with the engine. */
    @FunctionalInterface
    public interface Use<R> {
        R of(ExecutorEngine engine);
    }

    private ExecutorEngine(EnginePlace place, String device, int threads) {
        this.place = place;
        this.device = device;
        this.backend = Backends.open(device, threads);
        this.checkpoint = Checkpoint.open(Path.of(place.model()));
        this.llama = Llama.load(checkpoint, backend);
        this.cached = new CachedModel(llama, place.cache());
        this.identity = identity(checkpoint, backend);
    }

    /** Runs a task's work with the engine of a model, which it loads first if it is not there. */
    public static <R> R use(EnginePlace place, TaskPlace task, Use<R> use) {
        synchronized (ExecutorEngine.class) {
            String device = task.device(place.device());
            if (engine != null && !(engine.place.equals(place) && engine.device.equals(device))) {
                engine.close();
                engine = null;
            }
            if (engine == null) {
                engine = new ExecutorEngine(place, device, task.threads());
            }
            return use.of(engine);
        }
    }

    /** Everything that determines the bits of its answers: two hosts with the same give the same. */
    private static Map<String, String> identity(Checkpoint checkpoint, Backend backend) {
        Map<String, String> machine = new LinkedHashMap<>();
        machine.put("Java and processor", Runtime.version() + " " + System.getProperty("os.arch"));
        machine.put("device", backend.arithmetic());
        return Fingerprint.of(machine, checkpoint).values();
    }

    /** Returns everything that determines the bits of its answers, by name. */
    public Map<String, String> identity() {
        return identity;
    }

    public Backend backend() {
        return backend;
    }

    /** Returns the model, with its keys and values as the place says. */
    public LanguageModel model() {
        return place.cache() == CacheType.AUTO ? llama : cached;
    }

    /** Returns the model's tokenizer. */
    public Tokenizer tokenizer() {
        if (tokenizer == null) {
            tokenizer = Tokenizers.ofModel(checkpoint.folder());
        }
        return tokenizer;
    }

    /** Returns the ids that end a text, as the tasks of an evaluation have them. */
    public Set<Integer> stopIds() {
        if (stopIds == null) {
            TokenizerDescription described = Checkpoint.tokenizer(checkpoint.folder())
                    .orElseThrow(() -> Tokenizers.missing(checkpoint.folder()));
            stopIds = StopIds.of(checkpoint, described);
        }
        return stopIds;
    }

    @Override
    public void close() {
        if (tokenizer != null) {
            tokenizer.close();
        }
        cached.close();
        llama.close();
        checkpoint.close();
        backend.close();
    }
}
