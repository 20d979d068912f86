// Flamenco's job type of threer_blender: photos in, cameras, points and splats out, a task for each shot.
// `python -m threer_blender farm LIST --scheduler flamenco` writes the job; its steps stand in the setting "steps".

const JOB_TYPE = {
    label: "threer-blender",
    description: "Reconstruct shots from photos",
    settings: [
        { key: "list", type: "string", subtype: "file_path", required: true, description: "The list of shots" },
        { key: "results", type: "string", subtype: "dir_path", required: true, description: "Folder of the results" },
        { key: "weights", type: "string", subtype: "dir_path", default: "", description: "Weights; empty: each worker's own" },
        { key: "steps", type: "string", required: true, visible: "web", description: "The steps, as JSON" },
    ],
};

function compileJob(job) {
    const steps = {};
    for (const step of JSON.parse(job.settings.steps)) {
        step.tasks = (step.shots.length ? step.shots : [""]).map((shot, place) => {
            const task = author.Task(shot ? step.name + " " + shot : step.name, "misc");
            task.addCommand(command(step, shot, job.settings));
            for (const name of step.after) {
                for (const earlier of awaited(steps[name], step, place)) {
                    task.addDependency(earlier);
                }
            }
            job.addTask(task);
            return task;
        });
        steps[step.name] = step;
    }
}

// The tasks of an earlier step that a task waits for: its own shot's where both steps have the same shots.
function awaited(earlier, step, place) {
    const same = step.shots.length > 0 && String(earlier.shots) === String(step.shots);
    return same ? [earlier.tasks[place]] : earlier.tasks;
}

function command(step, shot, settings) {
    const places = {
        "<list>": settings.list,
        "<results>": settings.results,
        "<weights>": settings.weights,
        "<shot>": shot,
    };
    const args = step.arguments.map((text) => {
        for (const place in places) {
            text = text.split(place).join(places[place]);
        }
        return text;
    });
    return author.Command("exec", { exe: step.program, args: args });
}
