package nibble.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import nibble.checkpoint.model.layer.Rope;
import nibble.engine.backend.Backend;
import nibble.engine.host.ReferenceBackend;
import nibble.engine.tensor.ModelWeights;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A model whose first layers another backend computes: with equal arithmetic on both sides, no bit may change. */
class HostLayersTest {
    private static final ModelWeights WEIGHTS =
            RandomModel.weights(RandomModel.config(new Rope.None(), 64).withLayers(4), 3);

    private final ReferenceBackend host = new ReferenceBackend();
    private final ReferenceBackend device = new ReferenceBackend();

    /** A device that leaves layers to the host. */
    private Backend sharing(int layers) {
        return (Backend) Proxy.newProxyInstance(
                Backend.class.getClassLoader(), new Class<?>[] {Backend.class}, (_, method, arguments) -> {
                    if (method.getName().equals("hostShare")) {
                        return layers == 0 ? Optional.empty() : Optional.of(new Backend.HostShare(host, layers));
                    }
                    try {
                        return method.invoke(device, arguments);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 3, 4})
    void layers_on_the_host_give_the_bits_of_one_backend(int layers) {
        int[] ids = RandomModel.ids(1, 30, 101);
        try (Llama whole = Llama.of(WEIGHTS, device);
                Llama shared = Llama.of(WEIGHTS, sharing(layers));
                Session one = whole.session(40);
                Session two = shared.session(40)) {
            assertThat(shared.logits(ids)).isEqualTo(whole.logits(ids));
            assertThat(shared.logProbabilities(ids)).isEqualTo(whole.logProbabilities(ids));
            for (int[] piece : List.of(new int[] {5, 9, 2, 77}, new int[] {8}, new int[] {100}, new int[] {1, 2})) {
                assertThat(two.append(piece)).isEqualTo(one.append(piece));
            }
            List<Continuation> texts = List.of(
                    new Continuation(new int[] {3, 4, 5, 6, 7}, 2), new Continuation(new int[] {3, 4, 5, 9, 8, 1}, 3));
            assertThat(shared.score(texts).scores().getFirst().logProbabilities())
                    .isEqualTo(whole.score(texts).scores().getFirst().logProbabilities());
            int[] prompt = {11, 12, 13};
            assertThat(Generator.generate(shared, prompt, SamplingOptions.GREEDY, 20, Set.of(), _ -> {}))
                    .isEqualTo(Generator.generate(whole, prompt, SamplingOptions.GREEDY, 20, Set.of(), _ -> {}));
        }
    }
}
