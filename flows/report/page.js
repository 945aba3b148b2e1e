// Draws the charts, those in sight first. Expressions are interpreted, so that the page may forbid code made of text.
const drawing = JSON.parse(document.getElementById("charts").textContent);
const options = { mode: "vega", ast: true, actions: false, renderer: "svg", defaultStyle: false };
const page = document.documentElement;

async function draw(place) {
  await vegaEmbed(place, drawing[Number(place.dataset.chart)], options);
  place.dataset.drawn = "yes";
}

async function drawAll() {
  const places = [...document.querySelectorAll("[data-chart]")];
  const inSight = places.filter((place) => place.getBoundingClientRect().top < innerHeight);
  await Promise.all(inSight.map(draw));
  page.dataset.inSight = String(Math.round(performance.now()));
  for (const place of places.filter((place) => !inSight.includes(place))) {
    await new Promise((go) => setTimeout(go));
    await draw(place);
  }
  page.dataset.drawn = String(Math.round(performance.now()));
}

drawAll();
