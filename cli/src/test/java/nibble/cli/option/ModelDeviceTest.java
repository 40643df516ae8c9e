package nibble.cli.option;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import nibble.engine.tensor.DeviceLayers;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

/** What {@code --gpu-layers} asks of a device. */
class ModelDeviceTest {
    private static ModelDevice parsed(String... arguments) {
        ModelDevice options = new ModelDevice();
        new CommandLine(options).parseArgs(arguments);
        return options;
    }

    @Test
    void without_the_option_the_memory_decides_for_generating_and_all_layers_stream_otherwise() {
        assertThat(parsed().layers(true)).isEqualTo(DeviceLayers.FITTING);
        assertThat(parsed().layers(false)).isEqualTo(DeviceLayers.ALL);
    }

    @Test
    void a_number_or_auto_holds_for_every_command() {
        ModelDevice number = parsed("--device", "cuda:0", "--gpu-layers", "24");
        assertThat(number.layers(true)).isEqualTo(new DeviceLayers(24));
        assertThat(number.layers(false)).isEqualTo(new DeviceLayers(24));
        assertThat(parsed("--gpu-layers", "auto").layers(false)).isEqualTo(DeviceLayers.FITTING);
    }

    @ParameterizedTest
    @ValueSource(strings = {"-1", "all", "", "1.5", "99999999999"})
    void another_value_is_refused(String value) {
        assertThatThrownBy(() ->
                        parsed("--device", "cuda:0", "--gpu-layers", value).layers(true))
                .isInstanceOf(UsageException.class)
                .hasMessageContaining("--gpu-layers " + value);
    }

    @ParameterizedTest
    @ValueSource(strings = {"cpu", "reference"})
    void layers_of_a_card_need_one_but_none_do_not(String device) {
        assertThatThrownBy(() -> parsed("--device", device, "--gpu-layers", "3").layers(true))
                .isInstanceOf(UsageException.class)
                .hasMessageContaining("needs a card");
        assertThat(parsed("--device", device, "--gpu-layers", "0").layers(true)).isEqualTo(new DeviceLayers(0));
    }
}
