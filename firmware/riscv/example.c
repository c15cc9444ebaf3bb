/* Runs a network on an LPU without an operating system: load, run, wait, read, and show the largest output. */
#include "board.h"
#include "lpu_driver.h"
#include "program.h"

/* One inference; the number of the largest output, or a negative lpu_result. */
static int infer(struct lpu_driver *driver, const int8_t *input) {
    uint32_t *buffer = program_buffer;
    for (size_t word = 0; word < program_input.words; ++word) buffer[word] = 0;
    for (size_t element = 0; element < program_input.elements; ++element) {
        const uint16_t position = program_input.positions[element];
        buffer[position / 2] |= (uint32_t)(uint16_t)input[element] << (position % 2 ? 16 : 0);
    }
    enum lpu_result result = lpu_load(driver, program_input.unit, program_input.address, program_input.chunks, buffer,
                                      program_input.words);
    if (result == LPU_OK) result = lpu_run(driver, 0);
    struct lpu_status status = {.done = false};
    while (result == LPU_OK && !status.done) result = lpu_status(driver, &status);
    if (result == LPU_OK)
        result = lpu_read(driver, program_output.unit, program_output.address, program_output.chunks, buffer,
                          program_output.words);
    if (result != LPU_OK) return -(int)result;

    int largest = 0, value = INT8_MIN - 1;
    for (size_t element = 0; element < program_output.elements; ++element) {
        const uint16_t position = program_output.positions[element];
        const int8_t found = (int8_t)(buffer[position / 2] >> (position % 2 ? 16 : 0));
        if (found > value) {
            value = found;
            largest = (int)element;
        }
    }
    return largest;
}

int main(void) {
    static struct lpu_driver driver;
    lpu_begin(&driver, BOARD_POLLS, 16);
    for (size_t index = 0; index < program_image_count; ++index) {
        const struct image *image = &program_images[index];
        if (image->count == 0) continue;
        const enum lpu_result result = lpu_load(&driver, image->unit, 0, image->chunks, image->words, image->count);
        if (result != LPU_OK) board_show(BOARD_FAILED | result);
    }
    const int answer = infer(&driver, program_sample);
    board_show(answer < 0 ? BOARD_FAILED | (uint32_t)-answer : (uint32_t)answer);
}
